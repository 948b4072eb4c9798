"""Pages that show each job on real input: ``triptych demo``, or :func:`demos.app.running` from Python.

Needs the extra ``demos``; importing this package alone loads nothing heavy.
"""
