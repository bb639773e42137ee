//! Clock, peer process of a socket, process groups, local socket, durable files, memory and dump protection; the only unsafe.
