"""Steps as processes: started, watched, ended; artifacts and mutexes."""
