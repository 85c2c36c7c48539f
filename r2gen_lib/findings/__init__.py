"""What can be seen on a chest radiograph, and how people write it. No torch, no files."""
