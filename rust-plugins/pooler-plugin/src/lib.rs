//! SDK for native plugins of Pooler.
