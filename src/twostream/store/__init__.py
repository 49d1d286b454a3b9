"""The flow store: the clip format, its writer, the folder of clips, and stacks of stored clips."""
