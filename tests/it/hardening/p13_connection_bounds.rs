//! Connections are bounded in number, by address and by deadlines.
