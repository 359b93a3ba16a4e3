"""What a trained network makes of images: classes of the whole, of each region, of each pixel.

All but `preprocess` import torch.
"""
