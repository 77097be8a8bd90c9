"""Groups of routes, registered in ``purport.routes``: each a function from an ``AppContext`` to an ``APIRouter``."""
