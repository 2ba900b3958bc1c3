//! A request as the frame that the host would send: the structs of the contract one after another.

use super::{FrameBuffer, Request};
use crate::decode::Format;
use crate::sys;
use std::mem::{offset_of, size_of};

impl Request {
    /// The frame of `pooler_route_query`.
    pub fn frame(&self) -> FrameBuffer {
        self.build(false)
    }

    /// The frame of `pooler_learn_statement`: with the parse tree, without parameters and cluster.
    pub fn learn_frame(&self) -> FrameBuffer {
        self.build(true)
    }

    fn build(&self, learn: bool) -> FrameBuffer {
        let mut frame = FrameBuffer::default();
        frame.reserve(size_of::<sys::Input>());
        frame.put_u32(offset_of!(sys::Input, size), size_of::<sys::Input>() as u32);
        let default = if self.parameters.is_empty() { sys::PROTOCOL_SIMPLE } else { sys::PROTOCOL_EXTENDED };
        frame.put_u32(offset_of!(sys::Input, protocol), self.protocol.unwrap_or(default));
        frame.put_u32(offset_of!(sys::Input, flags), self.flags);
        frame.put_u32(offset_of!(sys::Input, role), self.role.number());
        frame.put_u32(offset_of!(sys::Input, shard), self.shard.number().unwrap_or(sys::SHARD_OPEN));
        frame.put_u32(offset_of!(sys::Input, ms_since_write), self.ms_since_write);
        frame.put_u64(offset_of!(sys::Input, query_id), self.query_id);
        let statement = self.put_statement(&mut frame, learn);
        frame.put_u32(offset_of!(sys::Input, statement), statement as u32);
        let session = self.put_session(&mut frame);
        frame.put_u32(offset_of!(sys::Input, session), session as u32);
        if !learn {
            let cluster = self.put_cluster(&mut frame);
            frame.put_u32(offset_of!(sys::Input, cluster), cluster as u32);
            self.put_parameters(&mut frame);
        }
        frame
    }

    pub(super) fn put_statement(&self, frame: &mut FrameBuffer, learn: bool) -> usize {
        let at = frame.reserve(size_of::<sys::Statement>());
        frame.put_u32(at + offset_of!(sys::Statement, size), size_of::<sys::Statement>() as u32);
        frame.put_u32(at + offset_of!(sys::Statement, kind), self.kind.number());
        frame.put_u64(at + offset_of!(sys::Statement, id), self.statement_id());
        frame.put_u64(at + offset_of!(sys::Statement, fingerprint), self.fingerprint);
        frame.put_u32(at + offset_of!(sys::Statement, facts), self.facts);
        frame.put_u32(at + offset_of!(sys::Statement, grammar), self.grammar);
        frame.put_slice(at + offset_of!(sys::Statement, sql), Some(&self.sql));
        let size = size_of::<sys::Table>();
        let tables = frame.put_array(at + offset_of!(sys::Statement, tables), self.tables.len(), size);
        for (index, table) in self.tables.iter().enumerate() {
            let at = tables + index * size;
            frame.put_slice(at + offset_of!(sys::Table, catalog), table.catalog.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Table, schema), table.schema.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Table, name), Some(table.name.as_bytes()));
            frame.put_u32(at + offset_of!(sys::Table, r#use), table.usage);
        }
        let size = size_of::<sys::Function>();
        let functions = frame.put_array(at + offset_of!(sys::Statement, functions), self.functions.len(), size);
        for (index, (schema, name)) in self.functions.iter().enumerate() {
            let at = functions + index * size;
            frame.put_slice(at + offset_of!(sys::Function, schema), schema.as_deref().map(str::as_bytes));
            frame.put_slice(at + offset_of!(sys::Function, name), Some(name.as_bytes()));
        }
        if learn {
            let tree = self.parse_tree.as_deref().map(str::as_bytes);
            frame.put_slice(at + offset_of!(sys::Statement, parse_tree), tree);
        }
        let error = self.parse_error.as_deref().map(str::as_bytes);
        frame.put_slice(at + offset_of!(sys::Statement, parse_error), error);
        at
    }

    pub(super) fn put_session(&self, frame: &mut FrameBuffer) -> usize {
        let at = frame.reserve(size_of::<sys::Session>());
        frame.put_u32(at + offset_of!(sys::Session, size), size_of::<sys::Session>() as u32);
        frame.put_u32(at + offset_of!(sys::Session, flags), self.session_flags);
        frame.put_u64(at + offset_of!(sys::Session, id), self.session_id);
        for (field, text) in [
            (offset_of!(sys::Session, user), &self.user),
            (offset_of!(sys::Session, database), &self.database),
            (offset_of!(sys::Session, application_name), &self.application_name),
            (offset_of!(sys::Session, client_address), &self.client_address),
            (offset_of!(sys::Session, client_encoding), &self.client_encoding),
        ] {
            frame.put_slice(at + field, Some(text.as_bytes()));
        }
        at
    }

    fn put_cluster(&self, frame: &mut FrameBuffer) -> usize {
        let at = frame.reserve(size_of::<sys::Cluster>());
        frame.put_u32(at + offset_of!(sys::Cluster, size), size_of::<sys::Cluster>() as u32);
        frame.put_u32(at + offset_of!(sys::Cluster, shards), self.shards);
        frame.put_u64(at + offset_of!(sys::Cluster, generation), self.generation);
        frame.put_slice(at + offset_of!(sys::Cluster, name), Some(self.cluster_name.as_bytes()));
        let size = size_of::<sys::Host>();
        let hosts = frame.put_array(at + offset_of!(sys::Cluster, hosts), self.hosts.len(), size);
        for (index, host) in self.hosts.iter().enumerate() {
            let at = hosts + index * size;
            frame.put_u32(at + offset_of!(sys::Host, shard), host.shard);
            frame.put_u32(at + offset_of!(sys::Host, role), host.role.number());
            frame.put_u32(at + offset_of!(sys::Host, flags), if host.up { sys::HOST_UP } else { 0 });
            frame.put_u32(at + offset_of!(sys::Host, lag_ms), host.lag_ms.unwrap_or(sys::NEVER));
            frame.put_slice(at + offset_of!(sys::Host, address), Some(host.address.as_bytes()));
        }
        at
    }

    fn put_parameters(&self, frame: &mut FrameBuffer) {
        let size = size_of::<sys::Parameter>();
        let array = frame.put_array(offset_of!(sys::Input, parameters), self.parameters.len(), size);
        for (index, parameter) in self.parameters.iter().enumerate() {
            let at = array + index * size;
            frame.put_slice(at + offset_of!(sys::Parameter, value), parameter.value.as_deref());
            let format = u32::from(parameter.format == Format::Binary);
            frame.put_u32(at + offset_of!(sys::Parameter, format), format);
            frame.put_u32(at + offset_of!(sys::Parameter, type_oid), parameter.type_oid);
            let flags = if parameter.value.is_none() { sys::PARAMETER_NULL } else { 0 };
            frame.put_u32(at + offset_of!(sys::Parameter, flags), flags);
        }
    }
}
