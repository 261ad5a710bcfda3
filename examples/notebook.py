# %% [markdown]
# # A brand in a notebook
# Jupyter and VS Code run the cells of this file. It needs `pip install 'triptych[notebook]'`,
# and a server that `triptych up` has started.

# %%
import os

import triptych

server = triptych.connect(os.environ.get("TRIPTYCH_SERVER", "http://127.0.0.1:8321"))
brand = server.brand("acme")

# %% A gallery: the last line of a cell is shown.
brand.assets()

# %% A table of pandas, with the columns of the brand's list.
frame = brand.assets(media_type="image/*").to_pandas()
print(frame.groupby("media_type").size_bytes.agg(["count", "sum"]))

# %% What the AI phase found.
duplicates = brand.insights()["duplicates"]
print(duplicates.result or duplicates.error)

# %% Whatever has no method here is asked of the client.
print(server.wait(server.client.facets("acme", by=["shape"])).facets[0].counts)

# %% All of it, with embeddings, as a file.
print(brand.export("parquet", to="."))
server.close()
