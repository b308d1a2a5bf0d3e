//! Passwords, API keys, limits and names of accounts.
