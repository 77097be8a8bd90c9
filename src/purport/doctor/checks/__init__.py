"""One check per file: a function that takes an :class:`~purport.doctor.examination.Examination`, yields findings."""
