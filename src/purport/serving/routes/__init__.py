"""Route groups, registered in ``purport.routes``: functions that take an ``AppContext``, return an ``APIRouter``."""
