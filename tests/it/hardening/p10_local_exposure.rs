//! What other users of one machine, and of the network, can reach.
