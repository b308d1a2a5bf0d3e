//! Clocks that run ahead: on the exchange, and on an administrator's machine.
