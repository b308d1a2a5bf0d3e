//! Who gets pull credentials: signed assignments alone decide.
