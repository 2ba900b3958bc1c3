//! Every decoder, in text and binary: against what PostgreSQL itself said, against malformed bytes, and against noise.

mod arrays;
mod oracle;
mod robust;
mod scalars;
