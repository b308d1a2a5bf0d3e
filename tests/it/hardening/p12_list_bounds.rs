//! Lists are bounded by count and bytes, and are streamed.
