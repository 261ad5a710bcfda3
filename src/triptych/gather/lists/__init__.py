"""Reading lists of URLs in whatever form people have them."""
