"""The demo: real brands, real images, real HTTP, and the faults that the web has."""

from triptych.runtime.cpu import one_thread_each

# Its embedded shape works in this process, and the modules beside this one import NumPy.
one_thread_each()
