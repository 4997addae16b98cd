"""What a deployment needs beside its settings: keys that can be changed."""
