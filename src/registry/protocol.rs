//! What both ends of the distribution protocol agree on: paths, headers, error codes.
