"""Which of the paper's numbers and sentences do stored numbers reproduce? Pure functions of them.
"""
