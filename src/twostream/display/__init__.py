"""Flow as people and other programs see it: colours, films, .flo files and images."""
