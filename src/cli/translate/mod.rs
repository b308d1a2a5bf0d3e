//! Every error of the library, in the words of the command line: which code, where, and what to do next.

mod agent;
mod bundle;
mod exchange;
mod publish;
mod registry;
mod servers;
mod trust;
