"""The web app at ``/ui``: server-rendered pages for people, mounted by the server through ``purport.routes``."""
