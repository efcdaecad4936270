"""Steps as processes, with their artifacts and mutexes."""
