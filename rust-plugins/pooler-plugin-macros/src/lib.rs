//! The attribute macros of `pooler-plugin`; use them through that crate, which documents them.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, ImplItem, ItemFn, ItemImpl, MetaNameValue, Token, parse_macro_input};

/// Makes a function the plugin of this library.
///
/// The function takes an `Input` and returns an `Output`, or anything that converts into one, such as a
/// `Result<Output, Error>`. The fields of `export_plugin!` may follow:
/// `#[route(name = "audit", capabilities = FACTS | EVERY_STATEMENT)]`.
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function(arguments, item, "ROUTE_QUERY", |name| {
        quote! {
            fn route(
                &mut self,
                input: ::pooler_plugin::Input<'_>,
                _: ::core::option::Option<&()>,
            ) -> ::pooler_plugin::Output {
                ::pooler_plugin::Output::from(#name(input))
            }
        }
    })
}

/// Makes a function that decides about clients the plugin of this library.
///
/// It takes a `Client` and returns a `ClientAnswer`, or anything that converts into one. Fields as for `#[route]`.
#[proc_macro_attribute]
pub fn client_connect(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function(arguments, item, "CLIENT_CONNECT", |name| {
        quote! {
            fn client_connect(&mut self, client: ::pooler_plugin::Client<'_>) -> ::pooler_plugin::ClientAnswer {
                ::pooler_plugin::ClientAnswer::from(#name(client))
            }
        }
    })
}

/// Makes a function that decides about connections to servers the plugin of this library.
///
/// It takes a `Server` and returns a `ServerAnswer`, or anything that converts into one. Fields as for `#[route]`.
#[proc_macro_attribute]
pub fn server_connect(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function(arguments, item, "SERVER_CONNECT", |name| {
        quote! {
            fn server_connect(&mut self, server: ::pooler_plugin::Server<'_>) -> ::pooler_plugin::ServerAnswer {
                ::pooler_plugin::ServerAnswer::from(#name(server))
            }
        }
    })
}

/// Makes a function that hears of every statement that has ended the plugin of this library.
///
/// It takes a `QueryEnd` and returns a `Result<(), Error>`. Fields as for `#[route]`.
#[proc_macro_attribute]
pub fn query_end(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function(arguments, item, "QUERY_END", |name| {
        quote! {
            fn query_end(
                &mut self,
                end: ::pooler_plugin::QueryEnd<'_>,
                _: ::core::option::Option<&()>,
            ) -> ::core::result::Result<(), ::pooler_plugin::Error> {
                #name(end)
            }
        }
    })
}

fn function(arguments: TokenStream, item: TokenStream, hook: &str, method: fn(&Ident) -> Tokens) -> TokenStream {
    let arguments = parse_macro_input!(arguments with Punctuated::<MetaNameValue, Token![,]>::parse_terminated);
    let function = parse_macro_input!(item as ItemFn);
    let fields = fields(&arguments, &[hook]);
    let method = method(&function.sig.ident);
    quote! {
        #function
        ::pooler_plugin::__export_function!({ #fields } #method);
    }
    .into()
}

/// Exports a type as the plugin of this library, with a hook for each method that its `impl Plugin` or `impl BlockingPlugin` has.
///
/// In place of `export_plugin!` or `export_blocking_plugin!`, whose fields may follow:
/// `#[plugin(name = "audit", capabilities = FACTS)] impl Plugin for Audit { … }`.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments with Punctuated::<MetaNameValue, Token![,]>::parse_terminated);
    let block = parse_macro_input!(item as ItemImpl);
    let hooks: Vec<&str> = block
        .items
        .iter()
        .filter_map(|item| match item {
            ImplItem::Fn(method) => hook_of(&method.sig.ident.to_string()),
            _ => None,
        })
        .collect();
    if block.trait_.is_none() || hooks.is_empty() {
        let message = "#[plugin] stands on an `impl Plugin for …`, or `impl BlockingPlugin for …`, that has route() or another hook";
        return syn::Error::new_spanned(&block.self_ty, message).to_compile_error().into();
    }
    let fields = fields(&arguments, &hooks);
    let name = &block.self_ty;
    let waits = block
        .trait_
        .as_ref()
        .and_then(|(path, _)| path.segments.last())
        .is_some_and(|last| last.ident == "BlockingPlugin");
    let export = if waits { quote!(export_blocking_plugin) } else { quote!(export_plugin) };
    quote! {
        #block
        ::pooler_plugin::#export!(#name { #fields });
    }
    .into()
}

fn hook_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "route" => "ROUTE_QUERY",
        "client_connect" => "CLIENT_CONNECT",
        "client_disconnect" => "CLIENT_DISCONNECT",
        "server_connect" => "SERVER_CONNECT",
        "query_end" => "QUERY_END",
        "result_row" => "RESULT_ROW",
        "reload" => "RELOAD",
        _ => return None,
    })
}

/// `name = value` as `name: value`, and the hooks unless they are among them.
fn fields(arguments: &Punctuated<MetaNameValue, Token![,]>, hooks: &[&str]) -> Tokens {
    let given = arguments.iter().map(|argument| {
        let (field, value) = (&argument.path, &argument.value);
        quote!(#field : #value)
    });
    if arguments.iter().any(|argument| argument.path.is_ident("hooks")) {
        return quote!(#(#given),*);
    }
    let hooks: Expr = syn::parse_str(&hooks.join(" | ")).expect("names of hooks joined with |");
    quote!(hooks: #hooks #(, #given)*)
}
