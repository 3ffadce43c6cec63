"""What runs on the server itself: sent there over SSH by whoever asks, with nothing but Python's standard library.

Each request is carried out as a whole on the server, so a connection that is lost in the middle leaves nothing half
done: an update goes on to its end, or back, without anybody listening.
"""
