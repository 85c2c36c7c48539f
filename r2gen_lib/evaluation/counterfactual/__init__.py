"""Does the report follow the picture?"""
