//! The attribute macro of `pooler-plugin`; use it through that crate, which documents it.

use proc_macro::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{ItemFn, MetaNameValue, Token, parse_macro_input};

/// Makes a function the plugin of this library.
///
/// The function takes an `Input` and returns an `Output`, or anything that converts into one, such as a
/// `Result<Output, Error>`. The fields of `export_plugin!` may follow:
/// `#[route(name = "audit", capabilities = FACTS | EVERY_STATEMENT)]`.
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments with Punctuated::<MetaNameValue, Token![,]>::parse_terminated);
    let function = parse_macro_input!(item as ItemFn);
    let name = &function.sig.ident;
    let fields = arguments.iter().map(|argument| {
        let (field, value) = (&argument.path, &argument.value);
        quote!(#field : #value)
    });
    quote! {
        #function
        ::pooler_plugin::__export_route!(#name { #(#fields),* });
    }
    .into()
}
