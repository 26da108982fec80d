"""Mail that leaves: queue entries → other servers, with all that can go wrong there."""
