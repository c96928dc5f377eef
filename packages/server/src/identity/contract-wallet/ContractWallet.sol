// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// The smallest wallet that is a contract: it says yes (EIP-1271) to what the key of its owner has signed.
contract ContractWallet {
    address private immutable owner;

    constructor(address keyOwner) {
        owner = keyOwner;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (signature.length != 65) return 0xffffffff;
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        address signer = ecrecover(hash, uint8(signature[64]), r, s);
        return signer != address(0) && signer == owner ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}
