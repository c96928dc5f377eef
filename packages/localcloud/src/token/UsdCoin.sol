// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// Test money with the face of USDC: 6 decimals, payments by signature (EIP-3009), and the same EIP-712 domain name
/// and version, so that what signs for the real token signs for this one.
contract UsdCoin is ERC20, ERC3009 {
    /// All there will ever be is handed out here, once.
    constructor(address[] memory holders, uint256 amountEach) ERC20("USD Coin", "USDC") EIP712("USD Coin", "2") {
        for (uint256 i = 0; i < holders.length; i++) {
            _mint(holders[i], amountEach);
        }
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function version() external pure returns (string memory) {
        return "2";
    }

    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }
}
