"""Linear mixed models: `objective` is the text to read beside Bates et al. (2015); `blocks` is what runs."""
