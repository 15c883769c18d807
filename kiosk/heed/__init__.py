"""What the centre lets a station know: signed feeds, kept over a start without the network."""
