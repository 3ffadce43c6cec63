"""The server itself: SSH, nginx and Docker, and the programs that are sent there."""
