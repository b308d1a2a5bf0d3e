//! Rights are decided on the row inside the write transaction.
