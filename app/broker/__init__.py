"""How work is handed out: from the scheduler to the workers, over topics. It distributes; the store is the truth."""
