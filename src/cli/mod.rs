//! Arguments in, library call, words out.
