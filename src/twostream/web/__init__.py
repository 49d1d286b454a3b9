"""The page and the JSON API of ``twostream serve``: new videos, labelled in a browser."""
