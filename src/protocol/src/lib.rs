//! The binary messages between the orchestrator and its Python workers.
