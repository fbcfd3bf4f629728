"""The end of a job told to its callback: signed, sent to public addresses only, tried again for a day."""
