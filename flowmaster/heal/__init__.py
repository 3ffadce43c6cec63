"""Plans what an update does about drift, and checks that it matches the approved preview."""
