"""Problems in a dataset: findings, what each one costs, and a fix plan for a person to review.

A *check* is a function that takes an examination and returns findings; it is registered in the entry-point group
``purport.checks``.
"""
