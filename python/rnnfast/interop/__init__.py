"""Exchange of layers and models with other libraries, each of which is imported when its module is used."""
