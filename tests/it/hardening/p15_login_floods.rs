//! Floods of failed logins do not lock out valid logins.
