"""z -> prediction and Jacobian, by one of four back ends behind one interface (`base.Decoder`)."""

from nlmevae.decoder.kernel_cache import ensure_kernel_cache

ensure_kernel_cache()
