"""One check per file; each is a function from an :class:`~purport.doctor.examination.Examination` to findings."""
