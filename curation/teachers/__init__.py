"""Teachers: models behind OpenAI-compatible endpoints. Pure: no Django, no Celery, no torch.

Reading order: ``sampling`` (what is asked), ``client`` (asking), ``probe`` (what an endpoint can
do), ``manifest`` (what is recorded), ``pool`` (asking many at once from a synchronous job).
"""
