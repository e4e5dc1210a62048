"""What reading and writing of video files are made of: containers, colour, framing, timing."""
