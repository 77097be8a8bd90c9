"""What is wrong with a dataset: findings, what each costs, and a plan of fixes that a person can review.

A *check* is a function from an examination to findings, registered in the entry-point group ``purport.checks``.
"""
