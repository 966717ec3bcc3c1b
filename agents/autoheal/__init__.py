"""Hears the health events of labelled containers and brings the sick ones back: root cause first, without storms."""
