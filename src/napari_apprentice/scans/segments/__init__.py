"""Label maps that come as segments or contours: DICOM SEG, RT Structure Sets."""
